import { useEffect, useRef } from 'preact/hooks'
import type { AlignedData, Options } from 'uplot'
import type UPlot from 'uplot'
import { formatTime } from '../../model/format.js'
import type { PageAlert } from '../../model/alerts.js'
import type { PageState } from '../context.js'

export interface Series {
  label: string
  color: 'accent' | 'good' | 'warn' | 'bad'
  values: ReadonlyArray<number | null>
}

export interface ChartViewProps {
  title: string
  series: readonly Series[]
  /** Seconds since 1970. */
  times: readonly number[]
  format: (value: number) => string
  state: PageState
  /** Loaded when the first chart is shown. */
  Plot: typeof UPlot
}

const HEIGHT = 148
const SYNC_KEY = 'mission-control'

const colorOf = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

/** One chart. The last bucket is not over yet, so the line to it is dashed; times of alerts are shaded. */
export function ChartView (props: ChartViewProps) {
  const { title, series, times, format, state, Plot } = props
  const element = useRef<HTMLDivElement>(null)
  const chart = useRef<UPlot | undefined>(undefined)
  const theme = state.shownTheme.value
  useEffect(() => {
    const target = element.current!
    const plot = new Plot(optionsFor(props, target.clientWidth), toData(props), target)
    chart.current = plot
    const observer = new ResizeObserver(() => plot.setSize({ width: target.clientWidth, height: HEIGHT }))
    observer.observe(target)
    return () => {
      observer.disconnect()
      plot.destroy()
    }
  }, [theme])
  useEffect(() => {
    chart.current?.setData(toData(props))
  })
  const last = series.map(({ label, values }) => {
    const value = values.findLast((one) => one !== null)
    return `${label} ${value === null || value === undefined ? 'unknown' : format(value)}`
  })
  const from = times[0] === undefined ? '' : formatTime(times[0] * 1_000, times[0] * 1_000)
  return <div ref={element} class='chart-view' role='img' aria-label={`${title} since ${from}: ${last.join(', ')}`} />
}

// Each series is drawn twice: the buckets that are over as a line, the step to the last one dashed.
function toData ({ times, series }: ChartViewProps): AlignedData {
  const cut = times.length - 1
  const lines = series.flatMap(({ values }) => [
    values.map((value, at) => (at < cut ? value : null)),
    values.map((value, at) => (at >= cut - 1 ? value : null))
  ])
  return [[...times], ...lines] as AlignedData
}

function optionsFor ({ series, format, state }: ChartViewProps, width: number): Options {
  const [grid, text] = [colorOf('line'), colorOf('muted')]
  const axis = {
    stroke: text,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
    font: '11px system-ui, sans-serif'
  }
  return {
    width,
    height: HEIGHT,
    // Half of a label fits beside the last line of the grid.
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC_KEY }, y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] } },
    axes: [
      {
        ...axis,
        values: (_, splits) => splits.map((at) => formatTime(at * 1_000, at * 1_000).slice(0, 5)),
        size: 26,
        space: 60
      },
      { ...axis, values: (_, splits) => splits.map((value) => format(value)), size: 58, space: 34 }
    ],
    series: [
      {},
      ...series.flatMap(({ color }) => {
        const stroke = colorOf(color)
        const shared = { stroke, width: 1.5, spanGaps: true, points: { show: false } }
        return [shared, { ...shared, dash: [3, 3] }]
      })
    ],
    hooks: {
      drawClear: [(plot) => shadeAlerts(plot, state)],
      setCursor: [(plot) => showReading(plot, series, format)]
    }
  }
}

function shadeAlerts (plot: UPlot, { session }: PageState): void {
  const { firing, history } = session.alerts
  const { ctx, bbox } = plot
  ctx.save()
  ctx.fillStyle = colorOf('shade')
  for (const { startsAt, endsAt } of new Set<PageAlert>([...firing.peek(), ...history.peek()])) {
    const left = plot.valToPos(startsAt / 1_000, 'x', true)
    const right = plot.valToPos((endsAt ?? session.now.peek()) / 1_000, 'x', true)
    const from = Math.max(bbox.left, left)
    const to = Math.min(bbox.left + bbox.width, right)
    if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height)
  }
  ctx.restore()
}

// The cursor is shared, so that all charts show the values at one time.
function showReading (plot: UPlot, series: readonly Series[], format: (value: number) => string): void {
  const { idx } = plot.cursor
  let reading = plot.over.querySelector('.reading')
  if (reading === null) {
    reading = document.createElement('span')
    reading.className = 'reading number'
    plot.over.append(reading)
  }
  if (idx === null || idx === undefined) {
    reading.textContent = ''
    return
  }
  const values = series.map(({ label }, at) => {
    const value = plot.data[at * 2 + 1]![idx] ?? plot.data[at * 2 + 2]![idx]
    return `${label} ${value === null || value === undefined ? '–' : format(value)}`
  })
  reading.textContent = `${formatTime(plot.data[0][idx]! * 1_000, plot.data[0][idx]! * 1_000)}  ${values.join('  ')}`
}
