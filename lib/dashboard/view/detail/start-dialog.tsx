import { useSignal } from '@preact/signals'
import { fieldsOf, readForm, type FormField } from '../../model/schema-form.js'
import type { PageState } from '../context.js'
import { Dialog } from './dialog.js'

/** Starts a mission, with a form made from the schema of the service. */
export function StartDialog ({ state }: { state: PageState }) {
  return state.isStarting.value ? <StartForm state={state} /> : null
}

function StartForm ({ state }: { state: PageState }) {
  const { session } = state
  const schema = session.service.value?.startSchema
  const fields = schema === undefined ? [] : fieldsOf(schema)
  const values = useSignal<ReadonlyMap<string, string | boolean>>(new Map())
  const command = useSignal('')
  const problem = useSignal('')
  const isBusy = useSignal(false)
  const close = () => { state.isStarting.value = false }
  const start = async (event: Event) => {
    event.preventDefault()
    try {
      const text = schema === undefined ? command.peek() : `/mission ${JSON.stringify(readForm(fields, values.peek()))}`
      isBusy.value = true
      const { missionId } = await session.client.start(text)
      close()
      state.go({ mission: missionId })
    } catch (err) {
      problem.value = err instanceof SyntaxError ? err.message : session.explain(err)
    } finally {
      isBusy.value = false
    }
  }
  const set = (name: string, value: string | boolean) => { values.value = new Map(values.peek()).set(name, value) }
  return (
    <Dialog title='Start a mission' onClose={close}>
      <form onSubmit={(event) => { start(event) }}>
        {schema === undefined && (
          <label class='field-block'>
            Command
            <textarea rows={3} required value={command.value} onInput={({ currentTarget }) => { command.value = currentTarget.value }} />
          </label>
        )}
        {fields.map((field) => <Field key={field.name} field={field} value={values.value.get(field.name) ?? field.initial} set={set} />)}
        {problem.value !== '' && <p class='problem-text' role='alert'>{problem.value}</p>}
        <div class='dialog-buttons'>
          <button type='button' class='button' onClick={close}>Close</button>
          <button type='submit' class='button button-primary' disabled={isBusy.value}>{isBusy.value ? 'Starting…' : 'Start mission'}</button>
        </div>
      </form>
    </Dialog>
  )
}

interface FieldProps { field: FormField, value: string | boolean, set: (name: string, value: string | boolean) => void }

function Field ({ field: { name, label, kind, isRequired, hint, options }, value, set }: FieldProps) {
  const hintId = `hint-${name}`
  const shared = { required: isRequired, ...hint !== undefined && { 'aria-describedby': hintId } }
  return (
    <div class='field-block'>
      {kind === 'checkbox'
        ? <label><input type='checkbox' checked={value === true} onChange={({ currentTarget }) => set(name, currentTarget.checked)} /> {label}</label>
        : (
          <label>
            {label}{!isRequired && <span class='muted'> (optional)</span>}
            {kind === 'select' && (
              <select {...shared} value={String(value)} onChange={({ currentTarget }) => set(name, currentTarget.value)}>
                <option value='' />
                {options.map((option) => <option key={option} value={option}>{option}</option>)}
              </select>
            )}
            {kind === 'json' && (
              <textarea {...shared} rows={4} spellcheck={false} value={String(value)} onInput={({ currentTarget }) => set(name, currentTarget.value)} />
            )}
            {kind === 'text' && (
              <input {...shared} type='text' value={String(value)} onInput={({ currentTarget }) => set(name, currentTarget.value)} />
            )}
            {kind === 'number' && (
              <input {...shared} type='number' step='any' value={String(value)} onInput={({ currentTarget }) => set(name, currentTarget.value)} />
            )}
          </label>
          )}
      {hint !== undefined && <p id={hintId} class='muted'>{hint}</p>}
    </div>
  )
}
