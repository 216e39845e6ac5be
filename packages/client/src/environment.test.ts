import { afterEach, describe, expect, test, vi } from "vitest";
import { defaultEnvironment } from "./environment.js";

afterEach(() => vi.unstubAllGlobals());

/** A page as browsers have it: as much of one as is looked at. */
function page() {
  const [window, document] = [new EventTarget(), new EventTarget()];
  const seen = { visibilityState: "visible" };
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  vi.stubGlobal("document", Object.assign(document, seen));
  return {
    tell: (name: string) => void window.dispatchEvent(new Event(name)),
    show: (visibilityState: "visible" | "hidden") => {
      Object.assign(document, { visibilityState });
      document.dispatchEvent(new Event("visibilitychange"));
    },
  };
}

describe("what wakes a client", () => {
  test("a network that is back, a page that is seen again, and one that comes out of the cache; not one that is hidden", () => {
    const { tell, show } = page();
    let woken = 0;
    const stop = defaultEnvironment().onWake(() => {
      woken++;
    });
    show("hidden");
    tell("offline");
    expect(woken).toBe(0);
    show("visible");
    tell("online");
    tell("pageshow");
    expect(woken).toBe(3);
    stop();
    show("visible");
    tell("online");
    tell("pageshow");
    expect(woken).toBe(3);
  });

  test("is nothing outside of pages", () => {
    expect(() => defaultEnvironment().onWake(() => undefined)()).not.toThrow();
  });
});

describe("whose outbox it is", () => {
  /** `sessionStorage` of one tab, or one that may not be touched. */
  const storage = (values: Map<string, string> | undefined) => ({
    getItem: (key: string) => {
      if (values === undefined) throw new DOMException("Not here.", "SecurityError");
      return values.get(key) ?? null;
    },
    setItem: (key: string, value: string) => void values?.set(key, value),
  });

  test("locks say it, where the browser has them", () => {
    const locks = { request: () => Promise.resolve() };
    vi.stubGlobal("navigator", { locks });
    vi.stubGlobal("sessionStorage", storage(new Map()));
    expect(defaultEnvironment()).toMatchObject({ locks });
    expect(defaultEnvironment().owner).toBeUndefined();
  });

  test("without locks the tab's own id does: the same after a reload, another in another tab", () => {
    vi.stubGlobal("navigator", {});
    const [first, second] = [storage(new Map()), storage(new Map())];
    vi.stubGlobal("sessionStorage", first);
    const { owner } = defaultEnvironment();
    expect(owner).toMatch(/^[\w-]{10,}$/);
    expect(defaultEnvironment().owner).toBe(owner);
    vi.stubGlobal("sessionStorage", second);
    expect(defaultEnvironment().owner).not.toBe(owner);
  });

  test("where storage is forbidden each load is a tab of its own", () => {
    vi.stubGlobal("navigator", {});
    vi.stubGlobal("sessionStorage", storage(undefined));
    expect(defaultEnvironment().owner).not.toBe(defaultEnvironment().owner);
  });

  test("outside of browsers the store is the process's", () => {
    vi.stubGlobal("navigator", {});
    expect(defaultEnvironment().owner).toBeUndefined();
  });
});

test("ids are 120 random bits, good in addresses", () => {
  const { newId } = defaultEnvironment();
  const ids = Array.from({ length: 1_000 }, newId);
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(/^[\w-]{20}$/);
});
