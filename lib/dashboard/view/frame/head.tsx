import { cleanLine } from '../../model/format.js'
import type { PageState, Theme } from '../context.js'
import { Icon, type IconName } from '../icons.js'
import { Connection } from './connection.js'
import { HealthBadge } from './health.js'

const THEMES: Record<Theme, { icon: IconName; next: Theme }> = {
  auto: { icon: 'auto', next: 'light' },
  light: { icon: 'sun', next: 'dark' },
  dark: { icon: 'moon', next: 'auto' }
}

/** The head of the page: which service this is, and how true the page is. */
export function Head ({ state }: { state: PageState }) {
  const { config, session } = state
  const { title, environment, links } = config
  const service = session.service.value
  return (
    <header class='head'>
      <h1 class='head-title'>
        <span class='head-mark' aria-hidden='true' /> {title}
        {service && (
          <span class='head-service'>
            {cleanLine(service.name)} <small>{cleanLine(service.version)}</small>
          </span>
        )}
      </h1>
      {environment && <Badge label={environment.label} color={environment.color} />}
      <Connection state={state} />
      <HealthBadge session={session} />
      <nav class='head-links' aria-label='Links of the service'>
        {links.map(({ label, href }) => (
          <a key={href} href={href} rel='noreferrer'>
            {label}
          </a>
        ))}
      </nav>
      <div class='head-tools'>
        <PauseButton state={state} />
        <ThemeButton state={state} />
        <button
          type='button'
          class='tool'
          onClick={() => {
            state.isHelpOpen.value = true
          }}
        >
          <Icon name='help' />
          <span class='visually-hidden'>Keyboard shortcuts</span>
        </button>
      </div>
    </header>
  )
}

function Badge ({ label, color }: { label: string; color: string | undefined }) {
  // A color from the host is set through the object model: the policy of the page allows no style attributes.
  return (
    <span
      class='environment'
      ref={(element) => {
        if (element && color) element.style.setProperty('--badge', color)
      }}
    >
      {label}
    </span>
  )
}

function PauseButton ({ state: { session } }: { state: PageState }) {
  const isPaused = session.isPaused.value
  return (
    <button type='button' class='tool' aria-pressed={isPaused} onClick={() => session.setPaused(!isPaused)}>
      <Icon name={isPaused ? 'play' : 'pause'} /> <span class='tool-text'>{isPaused ? 'Resume' : 'Pause'}</span>
    </button>
  )
}

function ThemeButton ({ state }: { state: PageState }) {
  const theme = state.theme.value
  const { icon, next } = THEMES[theme]
  return (
    <button type='button' class='tool' onClick={() => state.setTheme(next)}>
      <Icon name={icon} />
      <span class='visually-hidden'>
        Theme: {theme}. Switch to {next}
      </span>
    </button>
  )
}
