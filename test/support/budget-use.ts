/** What the mirror's `/metrics` tell of its budgets, by budget. */
export interface BudgetsTold {
  readonly in_use: Readonly<Record<string, number>>
  readonly refusals_total: Readonly<Record<string, number>>
}

/** The use of all budgets, as whoever watches the mirror sees it. */
export async function budgetsTold(operationsUrl: string): Promise<BudgetsTold> {
  const text = await (await fetch(`${operationsUrl}/metrics`)).text()
  const told = (of: string): Record<string, number> =>
    Object.fromEntries(
      [...text.matchAll(new RegExp(`^ecr_mirror_budget_${of}\\{budget="(\\w+)"\\} (\\d+)$`, 'gm'))].map(
        ([, budget = '', value]) => [budget, Number(value)],
      ),
    )
  return { in_use: told('in_use'), refusals_total: told('refusals_total') }
}

/** Resolves as soon as the use is such. What never comes fails by the test's own time. */
export async function untilUsed(
  operationsUrl: string,
  is: (told: BudgetsTold) => boolean,
): Promise<BudgetsTold> {
  for (;;) {
    const told = await budgetsTold(operationsUrl)
    if (is(told)) return told
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
