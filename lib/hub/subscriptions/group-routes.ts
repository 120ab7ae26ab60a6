import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { Channel } from '../channel.js'
import type { Connection } from '../connections/connection.js'

/** The subscribers of a channel with one filter, so that a message is matched once per filter. */
export interface SubscriberGroup {
  readonly filter: SubscriptionFilter | undefined
  readonly members: Set<Connection>
}

const NOBODY: ReadonlySet<SubscriberGroup> = new Set()

/**
 * The groups of a channel by what their filters select, so that a message is matched only with those that it may
 * concern: with many dashboards that each show one mission, that is one of them.
 */
export class GroupRoutes {
  readonly #channel: Channel
  readonly #routed = new Map<string, Set<SubscriberGroup>>()
  readonly #others = new Set<SubscriberGroup>()

  constructor (channel: Channel) {
    this.#channel = channel
  }

  add (group: SubscriberGroup): void {
    const routes = this.#routesOf(group)
    if (routes === undefined) this.#others.add(group)
    for (const route of routes ?? []) this.#routed.set(route, (this.#routed.get(route) ?? new Set()).add(group))
  }

  remove (group: SubscriberGroup): void {
    this.#others.delete(group)
    for (const route of this.#routesOf(group) ?? []) {
      const groups = this.#routed.get(route)
      groups?.delete(group)
      if (groups?.size === 0) this.#routed.delete(route)
    }
  }

  /** Calls `visit` for each group whose filter a message with these attributes matches. */
  visit (attributes: object | undefined, visit: (group: SubscriberGroup) => void): void {
    for (const group of this.#others) if (this.#fits(group, attributes)) visit(group)
    if (this.#routed.size === 0) return
    for (const route of this.#channel.routesTo!(attributes!)) {
      for (const group of this.#routed.get(route) ?? NOBODY) if (this.#fits(group, attributes)) visit(group)
    }
  }

  #fits ({ filter }: SubscriberGroup, attributes: object | undefined): boolean {
    return filter === undefined || this.#channel.fits!(attributes!, filter)
  }

  #routesOf ({ filter }: SubscriberGroup): readonly string[] | undefined {
    return filter && this.#channel.routesOf?.(filter)
  }
}
