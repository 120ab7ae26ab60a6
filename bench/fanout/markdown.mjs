/** The figures of one run as tables for README.md. */
export function toMarkdown (result) {
  const { machine, isQuick, bounds } = result
  const note = isQuick ? '. **A quick run: fewer rounds, shorter, fewer clients**' : ''
  return [
    `Node ${machine.node.slice(1)}, ${machine.cores} cores of ${machine.cpu}${note}.`,
    ...(result.rows ? [rowsTable(result.rows)] : []),
    figuresTable(result),
    boundsTable(bounds)
  ].join('\n\n')
}

const boundsTable = (bounds) => table(
  ['bound', 'measured', 'at most', ''],
  bounds.map(({ name, value, bound, holds }) => [name, value, bound, holds ? 'holds' : '**does not hold**'])
)

const rowsTable = (rows) => table(
  [
    'Server with 500 subscribers, CPU time per delivery', 'bytes',
    '1 message per tick, µs', '10 messages per tick, µs'
  ],
  rows.map(({ name, bytes, burst1Us, burst10Us }) => [NAMES[name], bytes, burst1Us, burst10Us])
)

const NAMES = {
  plugin: 'this plugin, prepared mission updates',
  missions: 'this plugin, updates of real missions',
  socketIo: 'Socket.IO',
  wsOnce: '`ws`, encoded once',
  wsEach: '`ws`, encoded per client',
  upgraded: 'sockets after an HTTP upgrade, one write per message',
  upgradedJoined: 'sockets after an HTTP upgrade, one write per tick',
  net: '`net`, one write per message',
  netJoined: '`net`, one write per tick'
}

/** All figures of the other parts by name, except lists. */
function figuresTable (result) {
  const { machine, isQuick, bounds, rows, ...parts } = result
  const rowsOf = ([part, figures]) => Object.entries(figures)
    .filter(([, value]) => !Array.isArray(value))
    .map(([figure, value]) => [part, figure, value])
  return table(['part', 'figure', 'measured'], Object.entries(parts).flatMap(rowsOf))
}

const table = (head, lines) =>
  [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
