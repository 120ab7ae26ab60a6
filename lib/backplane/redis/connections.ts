import type { BackplaneContext } from '../contract.js'
import { Connection } from './client/connection.js'
import type { CreateClient } from './client/redis-client.js'
import { Subscriber } from './subscriber.js'

/** The three connections of a process: for commands, for reads that wait, and for messages. */
export class Connections {
  readonly commands: Connection
  readonly reads: Connection
  readonly subscriber: Subscriber

  constructor (create: CreateClient, context: BackplaneContext) {
    const { clock, onWarning } = context
    this.commands = new Connection({ client: create(), clock, onWarning })
    this.reads = new Connection({ client: create(), clock, onWarning })
    this.subscriber = new Subscriber({ client: create(), context })
  }

  close (): void {
    this.commands.close()
    this.reads.close()
    this.subscriber.close()
  }
}
