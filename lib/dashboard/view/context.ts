import { batch, computed, signal, type ReadonlySignal } from '@preact/signals'
import type { DashboardConfig } from '../../../schemas/options/dashboard.js'
import { Reading, type Shown } from '../model/missions/reading.js'
import { selectRows } from '../model/missions/rows.js'
import { formatRoute, HOME, parseRoute, type Route } from '../model/route.js'
import type { Session } from '../model/session.js'
import { mediaSignal } from './media.js'

export type Theme = DashboardConfig['theme']

const THEMES = ['auto', 'light', 'dark'] as const
const THEME_KEY = 'mission-control theme'

/** Shared by all views: the session, the address, and the choices of the visitor. */
export class PageState {
  readonly session: Session
  readonly config: DashboardConfig
  readonly route = signal<Route>(parseRoute(location.hash))
  /** The theme chosen by the visitor or the host, and the theme that results now. */
  readonly theme = signal<Theme>('auto')
  readonly shownTheme: ReadonlySignal<'light' | 'dark'>
  /** Ids of the missions that the visitor has ticked, to stop several at once. */
  readonly selected = signal<ReadonlySet<string>>(new Set())
  /** The mission that the keyboard is at. */
  readonly cursor = signal<string | undefined>(undefined)
  /** Whether the table is being read, so that its rows must not move. */
  readonly isReading = signal(false)
  /** Missions that the dialog asks about. */
  readonly stopping = signal<readonly string[]>([])
  readonly isStarting = signal(false)
  readonly isHelpOpen = signal(false)
  /** Whether the charts have been loaded. */
  readonly hasCharts = signal(false)
  readonly shown: ReadonlySignal<Shown>
  readonly #released = signal(0)
  readonly #reading = new Reading()

  constructor (session: Session, config: PageState['config']) {
    this.session = session
    this.config = config
    this.theme.value = readTheme() ?? config.theme
    const isDark = mediaSignal('(prefers-color-scheme: dark)')
    this.shownTheme = computed(() => {
      const theme = this.theme.value
      return theme === 'auto' ? isDark.value ? 'dark' : 'light' : theme
    })
    // Elapsed times order the rows only when something else has changed: a table that moves by itself cannot be read.
    this.shown = computed(() => {
      const { missions } = session
      const route = this.route.value
      const isChanged = missions.version.value + this.#released.value >= 0
      const isReading = isChanged && this.isReading.value
      const fresh = selectRows(missions.all(), route, session.now.peek())
      return this.#reading.show(fresh, isReading, ({ id }) => missions.get(id) !== undefined)
    })
    session.missions.choose(this.route.peek().tenant)
    addEventListener('hashchange', () => this.#setRoute(parseRoute(location.hash)))
  }

  /** Changes the address. Filters replace the current history entry; every other change adds one. */
  go (change: Partial<Route>): void {
    const route = { ...this.route.peek(), ...change }
    const isOpening = 'mission' in change || 'panel' in change
    history[isOpening ? 'pushState' : 'replaceState'](null, '', formatRoute(route))
    this.#setRoute(route)
  }

  clearFilters (): void {
    const { mission, panel, sort, isAscending } = this.route.peek()
    this.go({ ...HOME, mission, panel, sort, isAscending })
  }

  /** Closes the panel beside the table, and returns the focus to the row of its mission. */
  closeDrawer (): void {
    const { mission } = this.route.peek()
    this.go({ mission: undefined, panel: undefined })
    this.cursor.value = mission
    requestAnimationFrame(() =>
      document.querySelector<HTMLElement>('tr.mission[tabindex="0"]')?.focus({ preventScroll: true })
    )
  }

  /** Shows the missions that arrived while the table was held still. */
  showNew (): void {
    this.#reading.release()
    this.#released.value++
  }

  setTheme (theme: Theme): void {
    this.theme.value = theme
    try {
      localStorage.setItem(THEME_KEY, theme)
    } catch {
      // Storage may be forbidden; the choice then holds until the page is closed.
    }
  }

  #setRoute (route: Route): void {
    const known = this.route.peek()
    const isSameView =
      formatRoute({ ...route, mission: undefined, panel: undefined }) ===
      formatRoute({ ...known, mission: undefined, panel: undefined })
    if (!isSameView) this.#reading.release()
    batch(() => {
      this.route.value = route
      this.session.missions.choose(route.tenant)
    })
  }
}

function readTheme (): Theme | undefined {
  try {
    return THEMES.find((theme) => theme === localStorage.getItem(THEME_KEY))
  } catch {
    return undefined
  }
}
