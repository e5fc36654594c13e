import { expect, it } from "vitest";
import { isTemplate } from "../src/templates";

it.each(["a {red|blue} fox", "__colours__ fox", "一只{红|蓝}狐狸", "{2$$and$$a|b}", "__动物__", "a {very {big|small}|old} fox"])("%s stands for many", (text) => expect(isTemplate(text)).toBe(true));

it.each(["a (red:1.2) fox", "[red|blue] fox", "{red} fox", "a_b __ c", "<lora:a__b:1>", ""])("%s stands for itself", (text) => expect(isTemplate(text)).toBe(false));
