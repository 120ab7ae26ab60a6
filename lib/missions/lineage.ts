import { InvalidParent } from '../base/errors.js'
import type { ListedMission } from './payload/listed-mission.js'
import type { MissionState } from './state/mission-state.js'

/**
 * Which active missions belong to which parent. Linked by id, so that a parent may be registered after its children.
 */
export class Lineage {
  readonly #children = new Map<string, Set<MissionState>>()
  readonly #find: (id: string) => ListedMission | undefined
  readonly #hidesUnknown: boolean

  /** `hidesUnknown`: tenants do not see the id of an unknown parent, because it may belong to another tenant. */
  constructor (find: (id: string) => ListedMission | undefined, hidesUnknown = false) {
    this.#find = find
    this.#hidesUnknown = hidesUnknown
  }

  /** @throws FST_MC_INVALID_PARENT if the mission belongs to another parent, or if the parent descends from it */
  check (id: string, known: string | null, parentId: string): void {
    if (known === parentId) return
    if (known !== null) throw new InvalidParent('the mission belongs to another parent')
    for (let ancestor: string | null = parentId; ancestor !== null; ancestor = this.#find(ancestor)?.parentId ?? null) {
      if (ancestor === id) throw new InvalidParent('the mission would be an ancestor of itself')
    }
  }

  /** To be called for every active mission that has a parent. A cancel of the parent is passed on to it. */
  add (child: MissionState, parentId: string): void {
    const children = this.#children.get(parentId) ?? new Set()
    this.#children.set(parentId, children.add(child))
    const parent = this.#find(parentId)
    const isUnknownHidden = this.#hidesUnknown && child.tenant !== null
    child.isParentForeign = parent === undefined ? isUnknownHidden : parent.tenant !== child.tenant
  }

  /**
   * To be called for every new mission: children of it may be known already. Returns those whose parent may be shown
   * from now on.
   */
  registered (parent: MissionState): MissionState[] {
    const shown: MissionState[] = []
    for (const child of this.#children.get(parent.id) ?? []) {
      const wasHidden = child.isParentForeign
      child.isParentForeign = parent.tenant !== child.tenant
      if (wasHidden && !child.isParentForeign) shown.push(child)
    }
    return shown
  }

  // A parent may live much longer than its children, and have many.
  remove (child: MissionState): void {
    if (child.parentId === null) return
    const children = this.#children.get(child.parentId)
    children?.delete(child)
    if (children?.size === 0) this.#children.delete(child.parentId)
  }

  /** Whether a mission was asked to end, so that its children are too. */
  isCancelled (id: string): boolean { return this.#find(id)?.isCancelRequested === true }

  /** The active children of a mission, in the order in which they were linked. */
  childrenOf (id: string): MissionState[] {
    return [...this.#children.get(id) ?? []]
  }
}
