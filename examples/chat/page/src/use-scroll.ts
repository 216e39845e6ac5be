import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/** So near to an end counts as there (px). */
const NEAR_END = 48;
/** From here on what is before is read, so that it is there when somebody comes to it (px). */
const NEAR_TOP = 800;

export interface Scroll {
  readonly scroller: RefObject<HTMLDivElement | null>;
  readonly content: RefObject<HTMLDivElement | null>;
  readonly isAtEnd: boolean;
  readonly toEnd: () => void;
}

/**
 * Stays at the end while the end grows, if it is there; else what somebody reads stays where it is, whatever comes before
 * and after it. Near the top, asks for what is before.
 *
 * @param firstId of the first message: another one means that some were put before it
 */
export function useScroll(
  firstId: string | undefined,
  mayLoadOlder: boolean,
  loadOlder: () => Promise<void>,
): Scroll {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const place = useRef({ isAtEnd: true, height: 0, firstId });
  const [isAtEnd, setAtEnd] = useState(true);

  const look = useCallback(() => {
    const box = scroller.current;
    if (box === null) return;
    place.current.height = box.scrollHeight;
    place.current.isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END;
    setAtEnd(place.current.isAtEnd);
  }, []);

  const toEnd = useCallback(() => {
    place.current.isAtEnd = true;
    setAtEnd(true);
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  }, []);

  useLayoutEffect(() => {
    const box = scroller.current;
    const { current } = place;
    // Before anybody sees it: what was read stays where it was.
    if (box !== null && current.firstId !== firstId)
      box.scrollTop = current.isAtEnd ? box.scrollHeight : box.scrollTop + box.scrollHeight - current.height;
    current.firstId = firstId;
  }, [firstId]);

  useEffect(() => {
    const box = scroller.current;
    if (box === null || content.current === null) return;
    const grown = new ResizeObserver(() => {
      if (place.current.isAtEnd) box.scrollTop = box.scrollHeight;
      look();
    });
    grown.observe(content.current);
    grown.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      grown.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, [look]);

  useEffect(() => {
    const box = scroller.current;
    if (box === null || !mayLoadOlder) return;
    const loadIfNear = (): void => {
      if (box.scrollTop < NEAR_TOP) void loadOlder();
    };
    loadIfNear();
    box.addEventListener("scroll", loadIfNear, { passive: true });
    return () => box.removeEventListener("scroll", loadIfNear);
  }, [mayLoadOlder, loadOlder]);

  return { scroller, content, isAtEnd, toEnd };
}
