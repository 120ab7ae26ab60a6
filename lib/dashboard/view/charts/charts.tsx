import { useSignal } from '@preact/signals'
import { formatCount, formatDuration, formatPercent, formatTime } from '../../model/format.js'
import type { Bucket } from '../../model/missions/trends.js'
import { ChartView, type ChartViewProps, type Series } from './chart-view.js'
import { operationSeries } from './operation-series.js'
import { useTrends } from './use-trends.js'

type ChartsProps = Pick<ChartViewProps, 'state' | 'Plot'>

interface ChartSpec {
  title: string
  series: Series[]
  times: number[]
  format: (value: number) => string
  /** Shown while there is no line to draw. */
  empty: string
  /** With fewer values than this there is no line to look at; 2 by default. */
  least?: number
}

const pick = (buckets: readonly Bucket[], field: Exclude<keyof Bucket, 'at'>) =>
  buckets.map((bucket) => bucket[field])

const NO_ENDINGS = 'No mission has ended within 30 minutes'

const duration = (value: number): string => formatDuration(value)

/** Four charts of the last 30 minutes with one time axis. */
export function Charts ({ state, Plot }: ChartsProps) {
  const buckets = useTrends(state.session)
  const operations = operationSeries(state.session.operations.value, buckets)
  const times = buckets.map(({ at }) => at / 1_000)
  const specs: ChartSpec[] = [
    {
      title: 'Active and ended',
      times,
      empty: 'Nothing is known yet',
      format: formatCount,
      series: [
        { label: 'active', color: 'accent', values: pick(buckets, 'active') },
        { label: 'completed', color: 'good', values: pick(buckets, 'completed') },
        { label: 'errors', color: 'bad', values: pick(buckets, 'error') }
      ]
    },
    {
      title: 'Error share',
      times,
      empty: NO_ENDINGS,
      format: formatPercent,
      series: [{ label: 'errors', color: 'bad', values: pick(buckets, 'errorShare') }]
    },
    {
      title: 'Duration of missions',
      times,
      empty: NO_ENDINGS,
      format: duration,
      series: [
        { label: 'p50', color: 'accent', values: pick(buckets, 'p50') },
        { label: 'p95', color: 'warn', values: pick(buckets, 'p95') }
      ]
    },
  ]
  if (state.session.service.value?.hasOperations === true) {
    specs.push({
      title: 'Latency of operations',
      times,
      format: duration,
      empty: 'No operations yet',
      least: 6,
      series: [
        { label: 'p95', color: 'accent', values: operations.p95 },
        { label: 'p99', color: 'warn', values: operations.p99 }
      ]
    })
  }
  return (
    <>
      {specs.map((spec) => (
        <Chart key={spec.title} spec={spec} state={state} Plot={Plot} />
      ))}
    </>
  )
}

function Chart ({ spec, state, Plot }: ChartsProps & { spec: ChartSpec }) {
  const isTable = useSignal(false)
  const { title, series, times, format, empty, least = 2 } = spec
  const known = series.map(({ values }) => values.filter((value) => value !== null))
  const isEmpty = known.every(({ length }) => length < least)
  return (
    <figure class='chart'>
      <figcaption>
        <h3>{title}</h3>
        <span class='legend'>
          {series.map(({ label, color }) => (
            <span key={label} class={`legend-item tone-${color}`}>
              {label}
            </span>
          ))}
        </span>
        <button
          type='button'
          class='link'
          aria-pressed={isTable.value}
          onClick={() => {
            isTable.value = !isTable.value
          }}
        >
          {isTable.value ? 'Show as chart' : 'Show as table'}
          <span class='visually-hidden'>: {title}</span>
        </button>
      </figcaption>
      {isTable.value
        ? (
          <ChartTable spec={spec} nowMs={state.session.now.peek()} />
          )
        : (
          <ChartView title={title} series={series} times={times} format={format} state={state} Plot={Plot} />
          )}
      {isEmpty && !isTable.value && (
        <p class='chart-empty'>
          {known.map((list) => list.at(-1)).map((value, at) => value !== undefined && (
            <span key={series[at]!.label} class={`chart-value number tone-${series[at]!.color}`}>
              <small>{series[at]!.label}</small> {format(value)}
            </span>
          ))}
          <span>{known[0]!.length > 0 ? 'The line begins with this visit' : empty}</span>
        </p>
      )}
    </figure>
  )
}

function ChartTable ({ spec: { title, series, times, format }, nowMs }: { spec: ChartSpec; nowMs: number }) {
  return (
    <div class='chart-table' tabIndex={0} role='region' aria-label={title}>
      <table>
        <thead>
          <tr>
            <th scope='col'>Time</th>
            {series.map(({ label }) => (
              <th key={label} scope='col'>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {times
            .map((time, at) => (
              <tr key={time}>
                <th scope='row' class='number'>
                  {formatTime(time * 1_000, nowMs)}
                </th>
                {series.map(({ label, values }) => {
                  const value = values[at]
                  return (
                    <td key={label} class='number'>
                      {value === null || value === undefined ? '–' : format(value)}
                    </td>
                  )
                })}
              </tr>
            ))
            .reverse()}
        </tbody>
      </table>
    </div>
  )
}
