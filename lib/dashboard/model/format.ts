const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const two = (value: number): string => String(value).padStart(2, '0')

/** A duration as people read it: `420 ms`, `1.8 s`, `41 s`, `3 m 05 s`, `2 h 10 m`, `3 d 4 h`. */
export function formatDuration (ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)} ms`
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} m ${two(Math.floor((ms % MINUTE) / SECOND))} s`
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${two(Math.floor((ms % HOUR) / MINUTE))} m`
  return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`
}

/** The duration of something that runs: whole seconds, so that it changes once a second. */
export const formatElapsed = (ms: number): string =>
  ms < MINUTE ? `${Math.floor(Math.max(0, ms) / SECOND)} s` : formatDuration(ms)

/** The time of day as `12:04:11` in the time zone of the visitor; with the day if it is not today. */
export function formatTime (at: number, nowMs: number): string {
  const date = new Date(at)
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  const isToday = date.toDateString() === new Date(nowMs).toDateString()
  return isToday ? time : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`
}

export const formatCount = (value: number): string => value.toLocaleString('en-US').replaceAll(',', '\u202f')

export const formatPercent = (share: number): string =>
  `${share !== 0 && share < 0.1 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`

/** A number of an alert, without more digits than people read. */
export const formatNumber = (value: number): string =>
  Number.isInteger(value) ? formatCount(value) : String(Number(value.toPrecision(3)))

/** The first and the last characters of a long id. */
export const shortenId = (id: string): string => (id.length <= 14 ? id : `${id.slice(0, 6)}…${id.slice(-5)}`)

// Characters that would reverse or hide the text around them, or move the cursor of a terminal.
// eslint-disable-next-line no-control-regex
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g

const isBreak = (character: string): boolean => character === '\n' || character === '\t'

/** Text of a mission for one line: characters that would spoof other text are shown as `␦`. */
export const cleanLine = (text: string): string =>
  text.replace(INVISIBLE, (character) => (isBreak(character) ? ' ' : '␦'))

/** Text of a mission for a block that keeps its lines. */
export const cleanBlock = (text: string): string =>
  text.replaceAll('\r\n', '\n').replace(INVISIBLE, (character) => (isBreak(character) ? character : '␦'))

/** Text in an address. Half of a surrogate pair, which names and tags may contain, cannot be encoded. */
export const encode = (text: string): string => encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd'))

export interface LinkSubject {
  readonly id: string
  readonly name: string
  readonly tags: readonly string[]
}

/** The address that a template of the host has for a mission: `{id}`, `{name}` and `{tag:KEY}`, for `KEY:value`. */
export function fillTemplate (template: string, { id, name, tags }: LinkSubject): string {
  return template.replace(/\{(id|name|tag:([^}]+))\}/g, (_, field: string, key: string | undefined) => {
    if (key === undefined) return encode(field === 'id' ? id : name)
    const tag = tags.find((tag) => tag.startsWith(`${key}:`) || tag.startsWith(`${key}=`))
    return encode(tag?.slice(key.length + 1) ?? '')
  })
}
