import { formatCount, formatDuration, formatPercent } from '../../model/format.js'
import { quantile, type Bucket } from '../../model/missions/trends.js'
import type { Tab } from '../../model/route.js'
import type { PageState } from '../context.js'
import { Icon } from '../icons.js'
import { useTrends } from '../charts/use-trends.js'

type TileTab = Exclude<Tab, 'all'>
type Field = TileTab | 'p95'

interface TileProps { tab: TileTab, label: string, tone: string, value: number, note: string }

const sum = (buckets: readonly Bucket[], field: Field) =>
  buckets.reduce((total, bucket) => total + (bucket[field] ?? 0), 0)

/** Counts that filter the table, each with its trend of 30 minutes. */
export function Tiles ({ state }: { state: PageState }) {
  const { session } = state
  const buckets = useTrends(session)
  const counts = session.counts.value
  const recent = (field: Field) => `${formatCount(sum(buckets, field))} in 30 min`
  const ended = sum(buckets, 'completed') + sum(buckets, 'cancelled') + sum(buckets, 'error')
  const share = ended === 0 ? '' : ` · ${formatPercent(sum(buckets, 'error') / ended)}`
  const tile = (tab: TileTab, label: string, tone: string, note: string): TileProps =>
    ({ tab, label, tone, note, value: counts[tab] })
  const tiles = [
    tile('active', 'Active', 'accent', 'now'),
    tile('stalled', 'Stalled', 'warn', 'now'),
    tile('completed', 'Completed', 'good', recent('completed')),
    tile('error', 'Errors', 'bad', recent('error') + share),
    tile('cancelled', 'Cancelled', 'muted', recent('cancelled'))
  ]
  return (
    <section class='tiles' aria-label='Counts'>
      {tiles.map((tile) => (
        <Tile key={tile.tab} {...tile} buckets={buckets} state={state} />
      ))}
      <Durations buckets={buckets} state={state} />
    </section>
  )
}

function Tile ({ buckets, state, ...tile }: TileProps & { buckets: readonly Bucket[], state: PageState }) {
  const { tab, label, tone, value, note } = tile
  const isOn = state.route.value.tab === tab
  return (
    <button
      type='button' class={`tile tone-${value === 0 ? 'muted' : tone}`} aria-pressed={isOn}
      onClick={() => state.go({ tab: isOn ? 'all' : tab })}
    >
      <span class='tile-label'><Icon name={tab} /> {label}</span>
      <span class='tile-value number'>{formatCount(value)}</span>
      <span class='tile-note'>{note}</span>
      <Sparkline values={buckets.map((bucket) => bucket[tab])} />
    </button>
  )
}

function Durations ({ buckets, state }: { buckets: readonly Bucket[]; state: PageState }) {
  const recent = buckets.flatMap(({ p50 }) => p50 ?? []).sort((a, b) => a - b)
  const high = buckets.flatMap(({ p95 }) => p95 ?? []).sort((a, b) => a - b)
  const show = (value: number | null) => (value === null ? '–' : formatDuration(value))
  return (
    <button
      type='button'
      class='tile tone-muted'
      aria-pressed={state.route.value.sort === 'elapsed'}
      onClick={() =>
        state.go({ sort: state.route.value.sort === 'elapsed' ? 'started' : 'elapsed', isAscending: false })}
    >
      <span class='tile-label'>
        <Icon name='waiting' /> Duration
      </span>
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
  const path = values
    .map((value, index) => {
      const wasDrawing = isDrawing
      isDrawing = value !== null
      if (value === null) return ''
      const [x, y] = [index * step, HEIGHT - 2 - (value / max) * (HEIGHT - 4)]
      return `${wasDrawing ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`
    })
    .join('')
  return (
    <svg
      class='sparkline'
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio='none'
      aria-hidden='true'
    >
      <path d={path} vector-effect='non-scaling-stroke' />
    </svg>
  )
}
