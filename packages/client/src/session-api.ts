import { asDaybookError, type DaybookError, inDoubt } from "./errors.js";
import type { Call, Http } from "./http.js";
import type { TokenKeeper } from "./token-keeper.js";

/** Calls about one session, with its token; with another one when that was refused. */
export class SessionApi {
  constructor(
    private readonly id: string,
    private readonly http: Http,
    private readonly tokens: TokenKeeper,
  ) {}

  /**
   * Tries again what may succeed later.
   * @param rest what follows the session in the path, with its query
   * @throws DaybookError
   */
  async call(
    method: Call["method"],
    rest: string,
    {
      isRepeatable = true,
      ...options
    }: Pick<Call, "body" | "signal"> & { readonly isRepeatable?: boolean } = {},
  ): Promise<unknown> {
    const token = this.tokens.current;
    const call = { method, path: this.path(rest), ...options };
    try {
      return await this.http.call({ ...call, token }, isRepeatable);
    } catch (error) {
      const refused = asDaybookError(error);
      if (!refused.isAuth || token === undefined) throw refused;
      return this.again(refused, async () => {
        const another = await this.tokens.refresh(token);
        return this.http.call({ ...call, token: another }, isRepeatable);
      });
    }
  }

  /** One try with one token; the caller has its own ways to go on. @throws DaybookError */
  once(
    method: Call["method"],
    rest: string,
    options: Pick<Call, "body" | "signal" | "token">,
  ): Promise<unknown> {
    return this.http.once({ method, path: this.path(rest), ...options });
  }

  private async again(refused: DaybookError, what: () => Promise<unknown>): Promise<unknown> {
    try {
      return await what();
    } catch (error) {
      const failure = asDaybookError(error);
      // What the old token was refused for says more than that there is no new one.
      if (failure.code === "invalid_token") throw refused;
      throw refused.mayHaveHappened ? inDoubt(failure) : failure;
    }
  }

  private path(rest: string): string {
    return `/v1/sessions/${encodeURIComponent(this.id)}${rest}`;
  }
}
