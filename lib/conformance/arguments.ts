import { parseArgs } from 'node:util'
import { LONGEST_TIMER_MS } from '../../schemas/limits.js'
import { CHECKS } from './checks/index.js'
import type { ConformanceOptions } from './context.js'

/** What the command line requests. */
export type ConformanceCommand =
  | { kind: 'run', options: ConformanceOptions, only: readonly string[] | undefined, isJson: boolean }
  | { kind: 'help' }
  | { kind: 'list' }
  | { kind: 'invalid', problem: string }

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  list: { type: 'boolean' },
  json: { type: 'boolean' },
  token: { type: 'string' },
  header: { type: 'string', multiple: true },
  'timeout-ms': { type: 'string' },
  heartbeat: { type: 'string' },
  start: { type: 'string' },
  only: { type: 'string', multiple: true }
} as const

export const HELP = `Usage: fastify-mission-control-conformance [options] ws://host/path

Checks whether a server implements the mission control protocol. The server may be written in any language. Prints one
line per check: "ok", "not ok" with what was expected and what arrived, or "skip" with the reason.

  --start COMMAND        a command that starts a mission. The mission must end within the timeout, by itself and when it
                         is cancelled. About 20 missions are started. Without it, checks that need a mission are skipped
  --token TOKEN          sends "authorization: Bearer TOKEN" with the upgrade request
  --header NAME:VALUE    sends a header with the upgrade request; can be repeated
  --timeout-ms MS        time limit for each answer (5000)
  --heartbeat MS         time limit for a heartbeat. By default, a server without a heartbeat within --timeout-ms is
                         skipped
  --only NAME            runs only this check; can be repeated
  --list                 prints the name and the requirement of every check
  --json                 prints the results as one JSON object
  --help                 prints this text

Exit code: 0 when no check failed, 1 when a check failed, 2 when no connection could be opened or the arguments are
invalid.
`

/** Reads the command line arguments after the program name. */
export function readArguments (args: readonly string[]): ConformanceCommand {
  try {
    const config = { args: [...args], options: OPTIONS, allowPositionals: true, strict: true } as const
    const { values, positionals } = parseArgs(config)
    if (values.help === true) return { kind: 'help' }
    if (values.list === true) return { kind: 'list' }
    return {
      kind: 'run',
      options: {
        url: readUrl(positionals),
        headers: readHeaders(values.header ?? [], values.token),
        timeoutMs: readMilliseconds('timeout-ms', values['timeout-ms']),
        heartbeatMs: readMilliseconds('heartbeat', values.heartbeat),
        start: values.start
      },
      only: readNames(values.only),
      isJson: values.json === true
    }
  } catch (err) {
    return { kind: 'invalid', problem: (err as Error).message }
  }
}

function readUrl ([url, ...more]: readonly string[]): string {
  if (url === undefined) throw new Error('the address of the server is missing')
  if (more.length > 0) throw new Error(`expected one address, got another one: ${more[0]}`)
  const isWebSocket = URL.canParse(url) && /^wss?:$/.test(new URL(url).protocol)
  if (!isWebSocket) throw new Error(`${url} is not a ws:// or wss:// address`)
  return url
}

function readHeaders (headers: readonly string[], token: string | undefined): Record<string, string> {
  const named = headers.map((header) => {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(header) ?? []
    if (name === undefined) throw new Error(`${header} is not a header; expected NAME:VALUE`)
    return [name, value!] as const
  })
  return { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...Object.fromEntries(named) }
}

function readMilliseconds (name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > LONGEST_TIMER_MS) {
    throw new Error(`--${name} is ${text}; expected a whole number of ms from 1 to ${LONGEST_TIMER_MS}`)
  }
  return value
}

function readNames (names: readonly string[] | undefined): readonly string[] | undefined {
  const unknown = names?.find((name) => !CHECKS.some((check) => check.name === name))
  if (unknown !== undefined) throw new Error(`unknown check ${unknown}; --list prints all names`)
  return names
}
