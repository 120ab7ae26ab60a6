// The picture of reconnecting clients: one row per client, with a common time scale.

const WIDTH = 960
const ROW = 150
const LEFT = 70
const TOP = 70
const PLOT = WIDTH - LEFT - 30
const COLOURS = ['#0b6e4f', '#2a9d8f', '#b23a48', '#7a4e9f']

const text = (x, y, content, more = '') => `<text x="${x}" y="${y}" ${more}>${content}</text>`

/** An SVG of accepted connections by slice of time. */
export function drawCurves (results, { sliceMs, downMs, clients }) {
  const seconds = results[0].accepted.length * sliceMs / 1_000
  const highest = Math.max(...results.map(({ peakIn100Ms }) => peakIn100Ms))
  const height = TOP + results.length * ROW + 40
  const x = (second) => LEFT + second / seconds * PLOT
  // A square root, so that a few hundred are visible beside ten thousand.
  const size = (count) => Math.sqrt(count / highest) * (ROW - 50)
  const rows = results.map(({ name, accepted, peakIn100Ms, attempts, halfConnectedAfterSeconds, allConnectedAfterSeconds }, row) => {
    const base = TOP + (row + 1) * ROW - 30
    const bars = accepted.map((count, at) => count === 0 ? '' : `<rect x="${x(at * sliceMs / 1_000).toFixed(1)}" y="${(base - size(count)).toFixed(1)}" width="${(PLOT / accepted.length).toFixed(2)}" height="${size(count).toFixed(1)}"/>`).join('')
    const all = allConnectedAfterSeconds === null ? `not all connected after ${seconds - downMs / 1_000} s` : `half are connected after ${halfConnectedAfterSeconds} s, all after ${allConnectedAfterSeconds} s`
    return `<g fill="${COLOURS[row]}">${bars}</g>` +
      `<line x1="${LEFT}" x2="${LEFT + PLOT}" y1="${base}" y2="${base}" stroke="#888"/>` +
      text(LEFT, base - ROW + 56, `${name}: at most ${peakIn100Ms.toLocaleString('en')} in 100 ms, ${attempts.toLocaleString('en')} attempts, ${all}`, `font-weight="bold" fill="${COLOURS[row]}"`)
  })
  const ticks = Array.from({ length: seconds / 5 + 1 }, (_, at) => text(x(at * 5), height - 18, `${at * 5} s`, 'text-anchor="middle"'))
  const down = `<rect x="${x(0)}" y="${TOP}" width="${x(downMs / 1_000) - x(0)}" height="${height - TOP - 40}" fill="#eee"/>`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13" fill="#222">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${text(LEFT, 28, `${clients.toLocaleString('en')} clients whose service is away for ${downMs / 1_000} s (grey): accepted connections per ${sliceMs} ms`, 'font-size="16"')}
${text(LEFT, 48, 'The height of a bar is the square root of the number. Measured on a virtual clock; the service accepts all connections once it is back.', 'fill="#666"')}
${down}
${rows.join('\n')}
${ticks.join('')}
</svg>
`
}
