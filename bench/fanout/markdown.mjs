/** The figures of one run as tables for the README. */
export function toMarkdown (result) {
  const { machine, isQuick, bounds } = result
  return [
    `Node ${machine.node.slice(1)}, ${machine.cores} cores of ${machine.cpu}${isQuick ? '. **A quick run: fewer rounds, shorter, fewer clients**' : ''}.`,
    ...(result.rows ? [rowsTable(result.rows)] : []),
    figuresTable(result),
    table(['bound', 'measured', 'at most', ''], bounds.map(({ name, value, bound, holds }) => [name, value, bound, holds ? 'holds' : '**does not hold**']))
  ].join('\n\n')
}

const rowsTable = (rows) => table(
  ['500 subscribers, CPU of the server for one delivery', 'bytes', '1 a turn, µs', '10 a turn, µs'],
  rows.map(({ name, bytes, burst1Us, burst10Us }) => [NAMES[name], bytes, burst1Us, burst10Us])
)

const NAMES = {
  plugin: 'this plugin, a ready mission update',
  missions: 'this plugin, the steps of missions',
  socketIo: 'Socket.IO',
  wsOnce: '`ws`, encoded once',
  wsEach: '`ws`, encoded for each client',
  upgraded: 'sockets after an HTTP upgrade, bare',
  upgradedJoined: 'the same, the messages of a turn in one write',
  net: '`net`, bare',
  netJoined: '`net`, the messages of a turn in one write'
}

/** All figures of the other parts by their names; lists are left out. */
function figuresTable (result) {
  const { machine, isQuick, bounds, rows, ...parts } = result
  return table(['part', 'figure', 'measured'], Object.entries(parts).flatMap(([part, figures]) =>
    Object.entries(figures).filter(([, value]) => !Array.isArray(value)).map(([figure, value]) => [part, figure, value])))
}

const table = (head, lines) => [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
