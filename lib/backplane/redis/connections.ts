import type { BackplaneContext } from '../contract.js'
import { RedisConnection } from './client/redis-connection.js'
import type { CreateClient } from './client/redis-client.js'
import { MessageReceiver } from './message-receiver.js'

/** The three connections of a process: for commands, for reads that wait, and for messages. */
export class RedisConnections {
  readonly commands: RedisConnection
  readonly reads: RedisConnection
  readonly receiver: MessageReceiver
  /** The number of the database. Messages are not separate by database, but keys are. */
  readonly database: number

  constructor (create: CreateClient, context: BackplaneContext) {
    const { clock, onWarning } = context
    this.commands = new RedisConnection({ client: create(), clock, onWarning })
    this.reads = new RedisConnection({ client: create(), clock, onWarning })
    const client = create()
    this.receiver = new MessageReceiver({ client, context })
    this.database = client.options.db ?? 0
  }

  close (): void {
    this.commands.close()
    this.reads.close()
    this.receiver.close()
  }
}
