import {
  CHANNEL_NAMES,
  CHANNEL_PAYLOADS,
  type ChannelName,
  type ChannelPayloads
} from '../../schemas/channels/index.js'
import { InvalidPayload } from '../base/errors.js'
import type { Hub } from './hub.js'
import { compile, describeFailure, type Validate } from '../base/validation.js'

const validators = new Map<string, Validate<unknown>>(
  CHANNEL_NAMES.map((name) => [name, compile(CHANNEL_PAYLOADS[name])]))

/** The host's publish function: validates a payload against the schema of the channel before it reaches the hub. */
export function createPublisher (hub: Hub) {
  return <Name extends ChannelName>(
    channel: Name, payload: ChannelPayloads[Name], { tenant }: { tenant?: string } = {}
  ): void => {
    const validate = validators.get(channel)
    if (validate === undefined) throw new InvalidPayload(`the channel must be one of ${CHANNEL_NAMES.join(', ')}`)
    if (!validate(payload)) throw new InvalidPayload(describeFailure(validate.errors).join('; '))
    hub.publish(channel, payload, tenant)
  }
}
