import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { Dialog } from './dialog.js'

interface DialogFormProps {
  title: string
  /** Label of the button that only closes the dialog. */
  dismiss: string
  /** Label of the other button, and its label while the action runs. */
  action: string
  busy: string
  tone: 'primary' | 'danger'
  onClose: () => void
  /** Returns the problem, if there is one. */
  submit: () => Promise<string | undefined>
  children: ComponentChildren
}

/** A dialog that does one thing, and says so if it could not. */
export function DialogForm ({ title, dismiss, action, busy, tone, onClose, submit, children }: DialogFormProps) {
  const problem = useSignal('')
  const isBusy = useSignal(false)
  const onSubmit = async (event: Event) => {
    event.preventDefault()
    isBusy.value = true
    problem.value = (await submit()) ?? ''
    isBusy.value = false
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={(event) => { onSubmit(event) }}>
        {children}
        {problem.value !== '' && <p class='problem-text' role='alert'>{problem.value}</p>}
        <div class='dialog-buttons'>
          <button type='button' class='button' onClick={onClose}>{dismiss}</button>
          <button type='submit' class={`button button-${tone}`} disabled={isBusy.value}>
            {isBusy.value ? busy : action}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
