/** Appends one event after the other and notes what was acknowledged. It retries as a client should: the same pair. */
export class DemoTicker {
  /** seq → the number that was acknowledged with it. */
  readonly acknowledged = new Map<number, number>();
  private stopped = false;
  private ticking: Promise<void> = Promise.resolve();

  constructor(
    private readonly url: string,
    private readonly token: string | undefined,
  ) {}

  start(): void {
    this.ticking = this.run();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.ticking;
  }

  private async run(): Promise<void> {
    for (let number = 1; !this.stopped; number++) {
      const seq = await this.append(number);
      this.acknowledged.set(seq, number);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  private async append(number: number): Promise<number> {
    const body = JSON.stringify({
      type: "tick",
      payload: { number },
      producer_id: "ticker",
      producer_seq: number,
    });
    for (;;) {
      try {
        const answer = await fetch(`${this.url}/append`, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            ...(this.token !== undefined && { authorization: `Bearer ${this.token}` }),
          },
          body,
        });
        if (answer.status === 201) return ((await answer.json()) as { seq: number }).seq;
        if (answer.status < 500 && answer.status !== 429) throw new Refused(await answer.text());
      } catch (error) {
        if (error instanceof Refused) throw error;
        // The server is down for a moment: the same event again.
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

class Refused extends Error {}
