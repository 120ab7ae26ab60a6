import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

interface DialogProps {
  title: string
  onClose: () => void
  children: ComponentChildren
}

/** A modal dialog of the browser, which keeps the focus inside and closes with Escape. */
export function Dialog ({ title, onClose, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const before = document.activeElement
    element.current!.showModal()
    return () => {
      if (before instanceof HTMLElement) before.focus({ preventScroll: true })
    }
  }, [])
  return (
    <dialog ref={element} class='dialog' aria-labelledby='dialog-title' onClose={onClose} onCancel={onClose}>
      <h2 id='dialog-title'>{title}</h2>
      {children}
    </dialog>
  )
}
