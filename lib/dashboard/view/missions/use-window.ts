import { useSignal } from '@preact/signals'
import { useLayoutEffect, useRef } from 'preact/hooks'

/** The rows that are near the visible part of the page. `end` is the first one after them. */
export interface VisibleRows {
  start: number
  end: number
}

const OVERSCAN = 8

/** Which rows of a long table to draw, from where the table is in the window. */
export function useVisibleRows (count: number, rowHeight: number) {
  const body = useRef<HTMLTableSectionElement>(null)
  const visible = useSignal<VisibleRows>({ start: 0, end: 40 })
  useLayoutEffect(() => {
    let frame = 0
    const measure = () => {
      frame = 0
      if (body.current === null) return
      const { top } = body.current.getBoundingClientRect()
      const start = Math.max(0, Math.floor(-top / rowHeight) - OVERSCAN)
      const end = Math.max(start, Math.ceil((innerHeight - top) / rowHeight) + OVERSCAN)
      const { value } = visible
      if (value.start !== start || value.end !== end) visible.value = { start, end }
    }
    const schedule = () => {
      frame ||= requestAnimationFrame(measure)
    }
    addEventListener('scroll', schedule, { passive: true })
    addEventListener('resize', schedule)
    const observer = new ResizeObserver(schedule)
    observer.observe(document.body)
    measure()
    return () => {
      cancelAnimationFrame(frame)
      removeEventListener('scroll', schedule)
      removeEventListener('resize', schedule)
      observer.disconnect()
    }
  }, [rowHeight])
  const start = Math.min(visible.value.start, Math.max(0, count - 1))
  return { body, start, end: Math.min(count, visible.value.end) }
}
