// Runs the compiled program, and prints what it returns.

import { mainJob } from "./compiled/mainJob.js";

console.log(JSON.stringify(await mainJob(...process.argv.slice(2))));
