import type { Round } from './round.js'

/** The URLs of the service, one per line. */
export function renderUrls (port: number): string {
  const http = `http://127.0.0.1:${port}`
  const websocket = `ws://127.0.0.1:${port}/ws/mission-control`
  return [
    `  Page         ${http}/mission-control/`,
    `  WebSocket    ${websocket}`,
    `  Health       ${http}/health?details=true`,
    `  Prometheus   ${http}/api/v1/metrics/prometheus`,
    `  WS metrics   ${http}/mission-control/ws-metrics`,
    `  Last round   ${http}/last-round`,
    `  Watch        node examples/watch.mjs ${websocket}`
  ].join('\n')
}

/** A round as a table. `p95Ms` is the time of one package. */
export function renderRound (round: Round, p95Ms: number): string {
  const rows: Array<[string, string]> = [
    ['missions', String(round.missions)],
    ['completed', String(round.completed)],
    ['errors', String(round.errors)],
    ['cancelled', String(round.cancelled)],
    ['packages', String(round.packages)],
    ['files', String(round.files)],
    ['MB', (round.bytes / 1e6).toFixed(1)],
    ['p95 ms', p95Ms.toFixed(1)],
    ['seconds', (round.tookMs / 1_000).toFixed(1)]
  ]
  return rows.map(([name, value]) => `  ${name.padEnd(10)} ${value.padStart(8)}`).join('\n')
}
