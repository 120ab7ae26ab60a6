import {
  CHANNEL_NAMES,
  CHANNEL_PAYLOADS,
  LOGGED_CHANNELS,
  type ChannelName,
  type ChannelPayloads
} from '../../schemas/channels/index.js'
import { isReplaceableUpdate, type MissionUpdate } from '../../schemas/channels/mission-update.js'
import { InvalidPayload } from '../base/errors.js'
import type { Placement } from './channel.js'
import { compile, describeFailure, type Validate } from '../base/validation.js'

const validators = new Map<string, Validate<unknown>>(
  CHANNEL_NAMES.map((name) => [name, compile(CHANNEL_PAYLOADS[name])]))

/** Where a message stands in a shared log: for operators, and for the tenant. */
export interface PublishPlaces { operators: Placement, tenant: Placement }

/** What the host publishes through. */
export interface PublishPort {
  publish<Name extends ChannelName> (
    name: Name, payload: ChannelPayloads[Name], tenant?: string, places?: PublishPlaces
  ): void
}

export interface HostPublishOptions { tenant?: string, places?: PublishPlaces }

/** Whether a client may not miss the payload. */
export function isReliablePayload<Name extends ChannelName> (name: Name, payload: ChannelPayloads[Name]): boolean {
  if (name === 'mission_update') return !isReplaceableUpdate(payload as MissionUpdate)
  return (LOGGED_CHANNELS as readonly ChannelName[]).includes(name)
}

/** The host's publish function: validates a payload against the schema of the channel before it reaches the hub. */
export function createPublisher (port: PublishPort) {
  return <Name extends ChannelName>(
    channel: Name, payload: ChannelPayloads[Name], { tenant, places }: HostPublishOptions = {}
  ): void => {
    const validate = validators.get(channel)
    if (validate === undefined) throw new InvalidPayload(`the channel must be one of ${CHANNEL_NAMES.join(', ')}`)
    if (!validate(payload)) throw new InvalidPayload(describeFailure(validate.errors).join('; '))
    port.publish(channel, payload, tenant, places)
  }
}
