import { ClusterMessage } from '../../schemas/cluster/messages.js'
import { compile } from '../base/validation.js'
import type { Cancels } from './cancels.js'
import type { ClusterAlerts } from './alerts/cluster-alerts.js'
import type { Reports } from './reports.js'

export interface InboxDeps {
  cancels: Cancels
  reports: Reports
  alerts: () => ClusterAlerts
  onWarning: (err: unknown) => void
}

const isMessage = compile(ClusterMessage)

/** Returns what takes the messages of other processes. A message that is broken, or of a newer version, is ignored. */
export function createInbox ({ cancels, reports, alerts, onWarning }: InboxDeps): (text: string) => void {
  return (text) => {
    const message = parse(text)
    if (!isMessage(message)) return
    if (message.type === 'report') reports.received(message)
    else if (message.type === 'tenant_alerts') alerts().tenantsAsked(message.tenants)
    else if (message.type === 'cancelled') cancels.answered(message)
    else cancels.answer(message).catch(onWarning)
  }
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
