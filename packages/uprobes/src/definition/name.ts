/** Which names groups, events and arguments may have. Text is one character a byte, as the kernel sees it. */

/** The kernel's letters: ASCII's, and latin1's. */
const LETTER = 'A-Za-zÀ-ÖØ-öø-ÿ';
const NAME = new RegExp(`^[${LETTER}_][${LETTER}_0-9]*$`);
const GROUP_NAME = new RegExp(`^[${LETTER}_][${LETTER}_0-9-]*$`);
const STARTS_LIKE_A_NAME = new RegExp(`^[${LETTER}_]`);

/** Whether an event or an argument may be called so. */
export function isGoodName(name: string): boolean {
  return NAME.test(name);
}

/** Whether a group may be called so: a name that may hold `-`. */
export function isGoodGroupName(name: string): boolean {
  return GROUP_NAME.test(name);
}

/** Whether the text begins as a name does. */
export function startsLikeName(text: string): boolean {
  return STARTS_LIKE_A_NAME.test(text);
}
