import type { OptionsInput } from '../../../schemas/options.js'
import type { HostAlertRule } from './host-rules.js'

/** The alert rules and how their alerts are sent; docs/operations.md describes each rule. */
export interface AlertOptions extends Omit<NonNullable<OptionsInput['alerts']>, 'add'> {
  /** Rules of your own. */
  add?: readonly HostAlertRule[] | undefined
}
