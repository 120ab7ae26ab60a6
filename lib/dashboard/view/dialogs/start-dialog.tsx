import { useSignal } from '@preact/signals'
import { explain } from '../../model/commands.js'
import { fieldsOf, readForm, type FormField } from '../../model/schema-form.js'
import type { PageState } from '../context.js'
import { DialogForm } from './dialog-form.js'

/** The input of a service without a schema: one text. */
const COMMAND: FormField = {
  name: 'command', label: 'Command', kind: 'text', isRequired: true, hint: undefined, options: [], initial: ''
}

type Value = string | boolean

/** Starts a mission, with a form made from the schema of the service. */
export function StartDialog ({ state }: { state: PageState }) {
  return state.isStarting.value ? <StartForm state={state} /> : null
}

function StartForm ({ state }: { state: PageState }) {
  const { session } = state
  const schema = session.service.value?.startSchema
  const fields = schema === undefined ? [COMMAND] : fieldsOf(schema)
  const values = useSignal<ReadonlyMap<string, Value>>(new Map())
  const close = () => { state.isStarting.value = false }
  const start = async () => {
    try {
      const params = readForm(fields, values.peek())
      const text = schema === undefined ? (params as { command: string }).command : `/mission ${JSON.stringify(params)}`
      const { missionId } = await session.client.start(text)
      close()
      state.go({ mission: missionId })
      return undefined
    } catch (err) {
      return err instanceof SyntaxError ? err.message : explain(err)
    }
  }
  const set = (name: string, value: Value) => { values.value = new Map(values.peek()).set(name, value) }
  return (
    <DialogForm
      title='Start a mission' dismiss='Close' action='Start mission' busy='Starting…' tone='primary'
      onClose={close} submit={start}
    >
      {fields.map((field) => (
        <Field key={field.name} field={field} value={values.value.get(field.name) ?? field.initial} set={set} />
      ))}
    </DialogForm>
  )
}

interface FieldProps { field: FormField, value: Value, set: (name: string, value: Value) => void }

function Field (props: FieldProps) {
  const { name, label, kind, isRequired, hint } = props.field
  return (
    <div class='field-block'>
      <label>
        {kind !== 'checkbox' && <>{label}{!isRequired && <span class='muted'> (optional)</span>}</>}
        <FieldInput {...props} />
        {kind === 'checkbox' && <> {label}</>}
      </label>
      {hint !== undefined && <p id={`hint-${name}`} class='muted'>{hint}</p>}
    </div>
  )
}

function FieldInput ({ field: { name, kind, isRequired, hint, options }, value, set }: FieldProps) {
  const take = ({ currentTarget }: { currentTarget: { value: string } }) => set(name, currentTarget.value)
  const shared = {
    required: isRequired, value: String(value), ...hint !== undefined && { 'aria-describedby': `hint-${name}` }
  }
  switch (kind) {
    case 'checkbox':
      return (
        <input
          type='checkbox' checked={value === true} onChange={({ currentTarget }) => set(name, currentTarget.checked)}
        />
      )
    case 'select':
      return (
        <select {...shared} onChange={take}>
          <option value='' />
          {options.map((option) => <option key={option} value={option}>{option}</option>)}
        </select>
      )
    case 'json': return <textarea {...shared} rows={4} spellcheck={false} onInput={take} />
    case 'number': return <input {...shared} type='number' step='any' onInput={take} />
    case 'text': return <input {...shared} type='text' onInput={take} />
  }
}
