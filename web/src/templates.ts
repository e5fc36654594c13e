/** Templates: prompts that stand for many. */

/** Whether one text stands for many: {red|blue}, __colours__, {2$$a|b}. */
export const isTemplate = (text: string): boolean => /__[\p{L}\p{N}_*/-]+?__|\{[^{}]*(\||\$\$)[^{}]*\}/u.test(text);
