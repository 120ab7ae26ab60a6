// The picture of reconnecting clients: one row per client, with a common time scale.

const WIDTH = 960
const ROW = 150
const LEFT = 70
const TOP = 70
const PLOT = WIDTH - LEFT - 30
const COLOURS = ['#0b6e4f', '#2a9d8f', '#b23a48', '#7a4e9f']

const FONT = 'font-family="sans-serif" font-size="13"'
const NOTE = 'The height of a bar is the square root of the number. ' +
  'Measured on a virtual clock; the service accepts all connections once it is back.'

const rect = (x, y, width, height) =>
  `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(2)}" height="${height.toFixed(1)}"/>`

const text = (x, y, content, more = '') => `<text x="${x}" y="${y}" ${more}>${content}</text>`

function describe (result, seconds) {
  const { name, peakIn100Ms, attempts, halfConnectedAfterSeconds, allConnectedAfterSeconds } = result
  const end = allConnectedAfterSeconds === null
    ? `not all connected after ${seconds} s`
    : `half are connected after ${halfConnectedAfterSeconds} s, all after ${allConnectedAfterSeconds} s`
  const [peak, total] = [peakIn100Ms, attempts].map((count) => count.toLocaleString('en'))
  return `${name}: at most ${peak} in 100 ms, ${total} attempts, ${end}`
}

/** An SVG of accepted connections by slice of time. */
export function drawCurves (results, { sliceMs, downMs, clients }) {
  const seconds = results[0].accepted.length * sliceMs / 1_000
  const highest = Math.max(...results.map(({ peakIn100Ms }) => peakIn100Ms))
  const height = TOP + results.length * ROW + 40
  const x = (second) => LEFT + second / seconds * PLOT
  // A square root, so that a few hundred are visible beside ten thousand.
  const size = (count) => Math.sqrt(count / highest) * (ROW - 50)
  const rows = results.map((result, row) => {
    const base = TOP + (row + 1) * ROW - 30
    const width = PLOT / result.accepted.length
    const bar = (count, at) => rect(x(at * sliceMs / 1_000), base - size(count), width, size(count))
    const bars = result.accepted.map((count, at) => count === 0 ? '' : bar(count, at)).join('')
    const colour = `fill="${COLOURS[row]}"`
    return `<g ${colour}>${bars}</g>` +
      `<line x1="${LEFT}" x2="${LEFT + PLOT}" y1="${base}" y2="${base}" stroke="#888"/>` +
      text(LEFT, base - ROW + 56, describe(result, seconds - downMs / 1_000), `font-weight="bold" ${colour}`)
  })
  const mark = (second) => text(x(second), height - 18, `${second} s`, 'text-anchor="middle"')
  const ticks = Array.from({ length: seconds / 5 + 1 }, (_, at) => mark(at * 5))
  const downWidth = x(downMs / 1_000) - x(0)
  const down = `<rect x="${x(0)}" y="${TOP}" width="${downWidth}" height="${height - TOP - 40}" fill="#eee"/>`
  const title = `${clients.toLocaleString('en')} clients whose service is away for ${downMs / 1_000} s (grey): ` +
    `accepted connections per ${sliceMs} ms`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ${FONT} fill="#222">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${text(LEFT, 28, title, 'font-size="16"')}
${text(LEFT, 48, NOTE, 'fill="#666"')}
${down}
${rows.join('\n')}
${ticks.join('')}
</svg>
`
}
