// Runs one function of the compiled program, and prints what it returns.

import * as program from "./compiled/pay.js";

const [, , name, ...values] = process.argv;
console.log(JSON.stringify(await program[name](...values)));
