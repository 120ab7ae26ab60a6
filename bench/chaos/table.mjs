// The result of a run by fault.

/** Counts what has happened from each fault until the next one, and adds up faults of the same name. */
export function toRows ({ happened, ledgers, endings, entries }) {
  const rows = new Map()
  const rowAt = (at) => {
    const { name } = happened.findLast((fault) => fault.at <= at) ?? happened[0]
    const empty = { times: 0, acknowledged: 0, lost: 0, named: 0, twice: 0, order: 0, holes: 0, gaps: 0, resumes: 0 }
    if (!rows.has(name)) rows.set(name, empty)
    return rows.get(name)
  }
  const count = (list, field) => { for (const at of list) rowAt(at)[field]++ }
  for (const { at } of happened) rowAt(at).times++
  count(endings.acknowledged, 'acknowledged')
  for (const field of ['lost', 'named', 'twice']) count(endings[field].map(({ at }) => at), field)
  for (const { faults, gaps, resumes } of ledgers) {
    count(gaps.map(({ at }) => at), 'gaps')
    count(resumes, 'resumes')
    for (const { kind, at, missionId } of faults) {
      if (!endings.excused.has(missionId)) rowAt(at)[kind === 'hole' ? 'holes' : kind]++
    }
  }
  count(entries.filter(({ kind }) => kind === 'failed').map(({ at }) => at), 'failed')
  return [...rows].map(([fault, row]) => ({ fault, ...row }))
}

const HEAD = {
  fault: 'Fault',
  times: 'times',
  acknowledged: 'endings acknowledged',
  lost: 'lost',
  named: 'lost by Redis, named',
  twice: 'told twice',
  order: 'out of order',
  holes: 'gaps not announced',
  gaps: 'gaps announced',
  resumes: 'clients resumed'
}

export function toMarkdown (rows) {
  const keys = Object.keys(HEAD)
  const total = Object.fromEntries(keys.map((key) =>
    [key, key === 'fault' ? 'all' : rows.reduce((sum, row) => sum + row[key], 0)]))
  const lines = [Object.values(HEAD), keys.map(() => '---'), ...[...rows, total].map((row) => keys.map((key) => row[key]))]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
