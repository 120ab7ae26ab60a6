import { WebSocket } from 'ws'

const url = process.argv[2] ?? 'ws://127.0.0.1:3000/ws/mission-control'
const channels = ['metrics_tick', 'health_delta', 'mission_stats', 'mission_update', 'anomaly_alert']

const socket = new WebSocket(url)
socket.on('open', () => socket.send(JSON.stringify({ type: 'subscribe', channels })))
socket.on('message', (data) => {
  const { timestamp, type, payload, error } = JSON.parse(String(data))
  console.log(timestamp, type, JSON.stringify(payload ?? error ?? {}))
})
socket.on('close', (code, reason) => console.log(`closed: ${code} ${reason}`))
socket.on('error', (err) => {
  console.error(`cannot watch ${url}: ${err.message}`)
  process.exitCode = 1
})
