import { parseArgs } from 'node:util'
import { CHECKS } from './checks/index.js'
import type { ConformanceSettings } from './context.js'

/** What the command line asks for. */
export type Asked =
  | { kind: 'run', settings: ConformanceSettings, only: readonly string[] | undefined, isJson: boolean }
  | { kind: 'help' }
  | { kind: 'list' }
  | { kind: 'wrong', problem: string }

const LONGEST_TIMER_MS = 2_147_483_647

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

Checks whether a server keeps to the mission control protocol, whatever it is written in. Prints a line for each check:
"ok", "not ok" with what was expected and what came, or "skip" with the reason.

  --start COMMAND        a command that starts a mission which ends by itself, and on a cancel, within the time-out;
                         without it all that needs a mission is skipped. About 20 missions are started
  --token TOKEN          sends "authorization: Bearer TOKEN" with the upgrade
  --header NAME:VALUE    sends a header with the upgrade; may be given more than once
  --timeout-ms MS        time to wait for each answer (5000)
  --heartbeat MS         time to wait for a heartbeat (as --timeout-ms, and a server that sends none is not judged)
  --only NAME            only this check; may be given more than once
  --list                 prints the names of the checks and what each demands
  --json                 prints the results as one JSON object
  --help                 prints this

Exit code: 0 when no check failed, 1 when one did, 2 when no connection could be opened or the usage is wrong.
`

/** Reads the arguments behind the name of the program. */
export function readArguments (args: readonly string[]): Asked {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true })
    if (values.help === true) return { kind: 'help' }
    if (values.list === true) return { kind: 'list' }
    return {
      kind: 'run',
      settings: {
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
    return { kind: 'wrong', problem: (err as Error).message }
  }
}

function readUrl ([url, ...more]: readonly string[]): string {
  if (url === undefined) throw new Error('the address of the server is missing')
  if (more.length > 0) throw new Error(`there is more than one address: ${more[0]}`)
  if (!URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol)) throw new Error(`${url} is no address that starts with ws:// or wss://`)
  return url
}

function readHeaders (headers: readonly string[], token: string | undefined): Record<string, string> {
  const named = headers.map((header) => {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(header) ?? []
    if (name === undefined) throw new Error(`${header} is no header such as x-name:value`)
    return [name, value!] as const
  })
  return { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...Object.fromEntries(named) }
}

function readMilliseconds (name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > LONGEST_TIMER_MS) throw new Error(`--${name} is ${text}, but must be a whole number of ms from 1 to ${LONGEST_TIMER_MS}`)
  return value
}

function readNames (names: readonly string[] | undefined): readonly string[] | undefined {
  const unknown = names?.find((name) => !CHECKS.some((check) => check.name === name))
  if (unknown !== undefined) throw new Error(`there is no check ${unknown}; --list shows all`)
  return names
}
