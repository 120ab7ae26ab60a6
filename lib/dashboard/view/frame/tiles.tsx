import { formatCount, formatDuration, formatPercent } from '../../model/format.js'
import { quantile, type Bucket } from '../../model/missions/trends.js'
import type { Tab } from '../../model/route.js'
import type { PageState } from '../context.js'
import { Icon, type IconName } from '../icons.js'
import { useTrends } from '../charts/use-trends.js'

type Field = 'active' | 'stalled' | 'completed' | 'cancelled' | 'error' | 'p95'

interface TileProps { tab: Tab, label: string, icon: IconName, tone: string, value: number, note: string, field: Field }

const sum = (buckets: readonly Bucket[], field: Field) => buckets.reduce((total, bucket) => total + (bucket[field] ?? 0), 0)

/** Counts that filter the table, each with its trend of 30 minutes. */
export function Tiles ({ state }: { state: PageState }) {
  const { session } = state
  const buckets = useTrends(session)
  const counts = session.counts.value
  const recent = (field: Field) => `${formatCount(sum(buckets, field))} in 30 min`
  const ended = sum(buckets, 'completed') + sum(buckets, 'cancelled') + sum(buckets, 'error')
  const share = ended === 0 ? '' : ` · ${formatPercent(sum(buckets, 'error') / ended)}`
  const tiles: TileProps[] = [
    { tab: 'active', label: 'Active', icon: 'active', tone: 'accent', value: counts.active, note: 'now', field: 'active' },
    { tab: 'stalled', label: 'Stalled', icon: 'stalled', tone: 'warn', value: counts.stalled, note: 'now', field: 'stalled' },
    { tab: 'completed', label: 'Completed', icon: 'completed', tone: 'good', value: counts.completed, note: recent('completed'), field: 'completed' },
    { tab: 'error', label: 'Errors', icon: 'error', tone: 'bad', value: counts.error, note: recent('error') + share, field: 'error' },
    { tab: 'cancelled', label: 'Cancelled', icon: 'cancelled', tone: 'muted', value: counts.cancelled, note: recent('cancelled'), field: 'cancelled' }
  ]
  return (
    <section class='tiles' aria-label='Counts'>
      {tiles.map((tile) => <Tile key={tile.tab} {...tile} buckets={buckets} state={state} />)}
      <Durations buckets={buckets} state={state} />
    </section>
  )
}

function Tile ({ tab, label, icon, tone, value, note, field, buckets, state }: TileProps & { buckets: readonly Bucket[], state: PageState }) {
  const isOn = state.route.value.tab === tab
  const isQuiet = value === 0
  return (
    <button
      type='button' class={`tile tone-${isQuiet ? 'muted' : tone}`} aria-pressed={isOn}
      onClick={() => state.go({ tab: isOn ? 'all' : tab })}
    >
      <span class='tile-label'><Icon name={icon} /> {label}</span>
      <span class='tile-value number'>{formatCount(value)}</span>
      <span class='tile-note'>{note}</span>
      <Sparkline values={buckets.map((bucket) => bucket[field])} />
    </button>
  )
}

function Durations ({ buckets, state }: { buckets: readonly Bucket[], state: PageState }) {
  const recent = buckets.flatMap(({ p50 }) => p50 ?? []).sort((a, b) => a - b)
  const high = buckets.flatMap(({ p95 }) => p95 ?? []).sort((a, b) => a - b)
  const show = (value: number | null) => value === null ? '–' : formatDuration(value)
  return (
    <button
      type='button' class='tile tone-muted' aria-pressed={state.route.value.sort === 'elapsed'}
      onClick={() => state.go({ sort: state.route.value.sort === 'elapsed' ? 'started' : 'elapsed', isAscending: false })}
    >
      <span class='tile-label'><Icon name='waiting' /> Duration</span>
      <span class='tile-value number'>{show(quantile(recent, 0.5))}</span>
      <span class='tile-note'>p50 · p95 {show(quantile(high, 0.5))}</span>
      <Sparkline values={buckets.map(({ p95 }) => p95)} />
    </button>
  )
}

const WIDTH = 120
const HEIGHT = 26

/** A line through the values; it is interrupted where nothing is known. */
function Sparkline ({ values }: { values: ReadonlyArray<number | null> }) {
  const max = Math.max(1, ...values.map((value) => value ?? 0))
  const step = WIDTH / (values.length - 1)
  let isDrawing = false
  const path = values.map((value, index) => {
    const wasDrawing = isDrawing
    isDrawing = value !== null
    if (value === null) return ''
    return `${wasDrawing ? 'L' : 'M'}${(index * step).toFixed(1)} ${(HEIGHT - 2 - value / max * (HEIGHT - 4)).toFixed(1)}`
  }).join('')
  return (
    <svg class='sparkline' viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio='none' aria-hidden='true' focusable='false'>
      <path d={path} vector-effect='non-scaling-stroke' />
    </svg>
  )
}
