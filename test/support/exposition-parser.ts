export interface ParsedSample { name: string, labels: Record<string, string>, value: number }

export interface ParsedFamily { name: string, type: string, help: string, samples: ParsedSample[] }

export type ParsedExposition = Map<string, ParsedFamily>

type Format = 'text' | 'openmetrics'

/**
 * Parses a response body strictly by the specifications of both formats. Mistakes that a lenient scraper accepts are
 * errors here. Throws with the invalid line.
 */
export function parseExposition (body: string, format: Format): ParsedExposition {
  const lines = splitLines(body, format)
  const parsed: ParsedExposition = new Map()
  const seen = new Set<string>()
  let current: ParsedFamily | undefined
  for (const line of lines) {
    if (line === '' && format === 'text') continue
    if (line.startsWith('# HELP ')) current = openFamily(line, parsed, format)
    else if (line.startsWith('# TYPE ')) setType(line, current, format)
    else if (line.startsWith('#')) throw new Error(`an unknown comment: ${line}`)
    else addSample(line, current, seen, format)
  }
  const taken = new Set<string>()
  for (const family of parsed.values()) {
    checkHistogram(family, format)
    checkNames(family, taken, format)
  }
  return parsed
}

/** The value of one series; throws if it is missing. */
export function valueOf (parsed: ParsedExposition, name: string, labels: Record<string, string> = {}): number {
  const all = [...parsed.values()].flatMap((family) => family.samples)
  const found = all.find((sample) => keyOf(sample.name, sample.labels) === keyOf(name, labels))
  if (found === undefined) throw new Error(`a missing series: ${keyOf(name, labels)}`)
  return found.value
}

function splitLines (body: string, format: Format): string[] {
  if (!body.endsWith('\n')) throw new Error('the last line has no line break')
  if (body.includes('\r')) throw new Error('a carriage return')
  const lines = body.slice(0, -1).split('\n')
  if (format === 'openmetrics' && lines.pop() !== '# EOF') throw new Error('# EOF is missing')
  return lines
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'

function openFamily (line: string, parsed: ParsedExposition, format: Format): ParsedFamily {
  const match = new RegExp(`^# HELP (${NAME}) ((?:[^\\\\\n]|\\\\.)*)$`, 's').exec(line)
  if (match === null) throw new Error(`an invalid HELP line: ${line}`)
  const [, name = '', help = ''] = match
  if (format === 'openmetrics' && /(?<!\\)"/.test(help)) throw new Error(`a quote in HELP: ${line}`)
  if (parsed.has(name)) throw new Error(`a repeated family: ${name}`)
  const family = { name, help, type: '', samples: [] }
  parsed.set(name, family)
  return family
}

function setType (line: string, family: ParsedFamily | undefined, format: Format): void {
  const match = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary)$`).exec(line)
  if (match === null || family === undefined || match[1] !== family.name) throw new Error(`an invalid TYPE line, or one without its HELP: ${line}`)
  if (family.type !== '') throw new Error(`a second TYPE: ${line}`)
  if (family.samples.length > 0) throw new Error(`TYPE after samples: ${line}`)
  family.type = match[2]!
  if (format === 'openmetrics' && family.type === 'counter' && family.name.endsWith('_total')) throw new Error(`_total in the name of a family: ${line}`)
}

function addSample (line: string, family: ParsedFamily | undefined, seen: Set<string>, format: Format): void {
  const exemplar = format === 'openmetrics' ? '(?: # \\{[^{}]*\\} \\S+ \\S+)?' : ''
  const match = new RegExp(`^(${NAME})(?:\\{(.*)\\})? ([+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf|NaN|Nan))${exemplar}$`, 's').exec(line)
  if (match === null) throw new Error(`an invalid sample: ${line}`)
  const sample = { name: match[1]!, labels: parseLabels(match[2] ?? ''), value: Number(match[3]!.replace('Inf', 'Infinity')) }
  if (family === undefined || family.type === '') throw new Error(`a sample before its TYPE: ${line}`)
  const endings = sampleEndings(family.type, format)
  if (!endings.some((ending) => sample.name === family.name + ending)) throw new Error(`a sample that does not belong to its family: ${line}`)
  if (family.type === 'counter' && !(sample.value >= 0)) throw new Error(`a counter below 0: ${line}`)
  const key = keyOf(sample.name, sample.labels)
  if (seen.has(key)) throw new Error(`a repeated series: ${line}`)
  seen.add(key)
  family.samples.push(sample)
}

function sampleEndings (type: string, format: Format): string[] {
  if (type === 'histogram') return ['_bucket', '_sum', '_count']
  if (type === 'summary') return ['', '_sum', '_count']
  return type === 'counter' && format === 'openmetrics' ? ['_total'] : ['']
}

function parseLabels (text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  const one = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/gsy
  while (one.lastIndex < text.length) {
    const match = one.exec(text)
    if (match === null) throw new Error(`invalid labels: ${text}`)
    const [, name = '', value = '', separator] = match
    if (Object.hasOwn(labels, name)) throw new Error(`a repeated label: ${text}`)
    if (separator === ',' && one.lastIndex === text.length) throw new Error(`a trailing comma: ${text}`)
    labels[name] = value.replaceAll(/\\(.)/g, (_, escaped) => escaped === 'n' ? '\n' : escaped)
  }
  return labels
}

function keyOf (name: string, labels: Record<string, string>): string {
  return name + JSON.stringify(Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1))
}

function checkHistogram ({ name, type, samples }: ParsedFamily, format: Format): void {
  if (type !== 'histogram') return
  const groups = new Map<string, ParsedSample[]>()
  for (const sample of samples) {
    const { le: _, ...others } = sample.labels
    const key = keyOf('', others)
    groups.set(key, [...groups.get(key) ?? [], sample])
  }
  for (const group of groups.values()) checkBuckets(name, group, format)
}

function checkBuckets (name: string, group: ParsedSample[], format: Format): void {
  const buckets = group.filter((sample) => sample.name === `${name}_bucket`)
  const limits = buckets.map(({ labels }) => Number(labels['le']?.replace('Inf', 'Infinity')))
  const isRising = (values: number[], by: (a: number, b: number) => boolean) => values.every((value, i) => i === 0 || by(values[i - 1]!, value))
  if (!isRising(limits, (a, b) => a < b)) throw new Error(`buckets out of order: ${name}`)
  if (!isRising(buckets.map(({ value }) => value), (a, b) => a <= b)) throw new Error(`buckets that are not cumulative: ${name}`)
  if (buckets.at(-1)?.labels['le'] !== '+Inf') throw new Error(`a missing +Inf bucket: ${name}`)
  const count = group.find((sample) => sample.name === `${name}_count`)
  if (count?.value !== buckets.at(-1)!.value) throw new Error(`a count that differs from the +Inf bucket: ${name}`)
  if (!group.some((sample) => sample.name === `${name}_sum`)) throw new Error(`a missing sum: ${name}`)
  const plain = buckets.find(({ labels }) => !/[.e]|Inf/.test(labels['le']!))
  if (format === 'openmetrics' && plain !== undefined) throw new Error(`a bound without a decimal point: ${name} ${plain.labels['le']}`)
}

function checkNames ({ name, type, samples }: ParsedFamily, taken: Set<string>, format: Format): void {
  if (type === '') throw new Error(`a missing TYPE: ${name}`)
  for (const one of new Set([name, ...sampleEndings(type, format).map((ending) => name + ending), ...samples.map((sample) => sample.name)])) {
    if (taken.has(one)) throw new Error(`a name that two families use: ${one}`)
    taken.add(one)
  }
}
