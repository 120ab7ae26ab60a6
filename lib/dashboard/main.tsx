import { render } from 'preact'

render(<p>Mission Control</p>, document.body)
