import type { BackplaneContext } from '../contract.js'
import { RedisConnection } from './client/redis-connection.js'
import type { CreateClient } from './client/redis-client.js'
import { MessageReceiver } from './message-receiver.js'

/** The three connections of a process: for commands, for reads that wait, and for messages. */
export class RedisConnections {
  readonly commands: RedisConnection
  readonly reads: RedisConnection
  readonly receiver: MessageReceiver

  constructor (create: CreateClient, context: BackplaneContext) {
    const { clock, onWarning } = context
    this.commands = new RedisConnection({ client: create(), clock, onWarning })
    this.reads = new RedisConnection({ client: create(), clock, onWarning })
    this.receiver = new MessageReceiver({ client: create(), context })
  }

  close (): void {
    this.commands.close()
    this.reads.close()
    this.receiver.close()
  }
}
