// Shapes differ, not only colours: a status can be told without them.
const PATHS = {
  active: 'M5 3.5v9l7.5-4.5z',
  stalled: 'M8 1.8 15 14H1zM8 6v4M8 12v.2',
  waiting: 'M4 2h8M4 14h8M5 2c0 3.5 6 4.5 6 6s-6 2.5-6 6M11 2c0 3.5-6 4.5-6 6s6 2.5 6 6',
  stopping: 'M4 4h8v8H4z',
  completed: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M5 8.2l2.2 2.2L11 6.2',
  error: 'M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3zM5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6',
  cancelled: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M3.5 12.5l9-9',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  close: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  pause: 'M5 3v10M11 3v10',
  play: 'M4.5 3v10l8-5z',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z',
  auto: 'M8 1.5a6.5 6.5 0 1 0 0 13zM8 1.5a6.5 6.5 0 0 1 0 13z',
  search: 'M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2M10.7 10.7 14 14',
  down: 'M3.5 6 8 10.5 12.5 6',
  up: 'M3.5 10 8 5.5l4.5 4.5',
  help: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M6 6.2a2 2 0 1 1 2.8 1.9c-.6.3-.8.6-.8 1.3M8 11.6v.2',
  link: 'M6.5 9.5l6-6M8.5 3.5h4v4M11 9.5V13H3V5h3.5'
} as const

export type IconName = keyof typeof PATHS

const FILLED: ReadonlySet<IconName> = new Set(['active', 'play', 'stopping'])

/** A sign beside a text; a screen reader skips it. */
export function Icon ({ name }: { name: IconName }) {
  const isFilled = FILLED.has(name)
  return (
    <svg class='icon' viewBox='0 0 16 16' width='16' height='16' aria-hidden='true'>
      <path d={PATHS[name]} class={isFilled ? 'icon-fill' : 'icon-line'} />
    </svg>
  )
}
