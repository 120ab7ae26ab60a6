/** The formats of a response body: Prometheus text 0.0.4 and OpenMetrics 1.0.0. */
export type Format = 'text' | 'openmetrics'

/** The `Content-Type` of each format, as prom-client spells it. */
export const CONTENT_TYPES = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8'
} as const satisfies Record<Format, string>

/** Chooses the format for an `Accept` header: OpenMetrics if it is listed and its quality is not below that of text. */
export function chooseFormat (accept = ''): Format {
  const ranges = parsePreferences(accept)
  const openMetrics = highest(ranges.filter(isOpenMetrics))
  return openMetrics !== undefined && openMetrics > 0 && openMetrics >= textQuality(ranges) ? 'openmetrics' : 'text'
}

/** Whether an `Accept-Encoding` header lists gzip with a quality that is not below that of an uncompressed response. */
export function wantsGzip (acceptEncoding = ''): boolean {
  const codings = parsePreferences(acceptEncoding)
  const quality = (...names: string[]) => highest(codings.filter(({ name }) => names.includes(name)))
  const gzip = quality('gzip', 'x-gzip') ?? quality('*') ?? 0
  return gzip > 0 && gzip >= (quality('identity') ?? 0)
}

interface Preference { name: string, version: string | undefined, quality: number }

// RFC 9110 §12.4.2: a quality is a number from 0 to 1 with at most three decimals, 1 by default.
const QUALITY = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/

function parsePreferences (header: string): Preference[] {
  return header.split(',').map((item) => {
    const [name, ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    const find = (key: string) => parameters.find((parameter) => parameter.startsWith(`${key}=`))
      ?.slice(key.length + 1).replaceAll('"', '')
    const quality = find('q') ?? '1'
    return { name: name!, version: find('version'), quality: QUALITY.test(quality) ? Number(quality) : 0 }
  })
}

// 0.0.1 is the draft of 1.0.0; Prometheus servers before 2.41 list only that version.
function isOpenMetrics ({ name, version = '1.0.0' }: Preference): boolean {
  return name === 'application/openmetrics-text' && (version === '1.0.0' || version === '0.0.1')
}

// RFC 9110 §12.5.1: the most specific range takes precedence.
function textQuality (ranges: Preference[]): number {
  const exact = ranges.filter(({ name, version = '0.0.4' }) => name === 'text/plain' && version === '0.0.4')
  const named = (range: string) => ranges.filter(({ name }) => name === range)
  return highest(exact) ?? highest(named('text/*')) ?? highest(named('*/*')) ?? 0
}

function highest (preferences: Preference[]): number | undefined {
  return preferences.length === 0 ? undefined : Math.max(...preferences.map(({ quality }) => quality))
}
