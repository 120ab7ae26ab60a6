import { round } from './processes.mjs'

/** The bounds of each part as `[name, value, bound]`. They apply to full runs on an idle machine. */
export const BOUNDS = {
  rows (rows) {
    const of = Object.fromEntries(rows.map((row) => [row.name, row]))
    return [
      ['burst 10: plugin / Socket.IO', ratio(of.plugin.burst10Us, of.socketIo.burst10Us), 0.125],
      ['burst 10: plugin / `net`, one write per tick', ratio(of.plugin.burst10Us, of.netJoined.burst10Us), 1.25],
      ['burst 1: plugin / Socket.IO', ratio(of.plugin.burst1Us, of.socketIo.burst1Us), 0.75],
      ['burst 1: plugin / `net`', ratio(of.plugin.burst1Us, of.net.burst1Us), 1.15]
    ]
  },
  tenants: ({ withoutUs, oneTenantUs, ownMissionUs, ownTenantUs }) => [
    ['500 subscribers of one mission: in one tenant / without tenants', ratio(oneTenantUs, withoutUs), 1.05],
    ['500 subscribers of a mission each: in a tenant each / without tenants', ratio(ownTenantUs, ownMissionUs), 1.3]
  ],
  compression: ({ pluginUs, wsUs }) => [['compressed broadcast: plugin / ws', ratio(pluginUs, wsUs), 0.25]],
  idleConnection: ({ pluginBytes, compressedBytes, socketIoBytes }) => [
    ['idle connection: plugin / Socket.IO', ratio(pluginBytes, socketIoBytes), 1],
    ['idle connection: compressed / plain', ratio(compressedBytes, pluginBytes), 1.1]
  ],
  scaling ({ us100, us1000, us5000 }) {
    const costs = [us100, us1000, us5000]
    const name = 'cost of a delivery, 100 to 5,000 subscribers: largest / smallest'
    return [[name, ratio(Math.max(...costs), Math.min(...costs)), 1.3]]
  },
  unlistened: ({ ns }) => [['publication without subscribers, ns', ns, 1_000]],
  frozen: ({ grownMb, secondHalfGrownMb, aloneSecondHalfGrownMb, missing, healthyP99Ms, aloneP99Ms }) => [
    ['frozen clients: memory, MB', grownMb, 150],
    // A service grows in its first minute even without frozen clients; subtract that growth.
    [
      'frozen clients: additional growth in the second half, MB',
      round(secondHalfGrownMb - Math.max(0, aloneSecondHalfGrownMb), 1), 10
    ],
    ['healthy client beside frozen ones: missing', missing, 0],
    ['healthy client: p99 beside frozen / alone', ratio(healthyP99Ms, aloneP99Ms), 2]
  ],
  sustained: ({ missing, p99Ms, lagMaxMs }) => [
    ['sustained: missing', missing, 0],
    ['sustained: p99, ms', p99Ms, 100],
    ['sustained: largest event loop delay, ms', lagMaxMs, 100]
  ],
  tenThousand: ({ connections, alive, rssMb }) => [
    ['idle connections that died', connections - alive, 0],
    ['idle connections: memory, MB', rssMb, 250]
  ]
}

const ratio = (a, b) => Math.round(a / b * 1_000) / 1_000
