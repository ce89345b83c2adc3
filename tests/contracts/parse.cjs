// Prints what AsyncAPI's own parser has to say of each document, as JSON.
const { Parser, fromFile } = require("@asyncapi/parser");

async function main(paths) {
  const found = [];
  for (const path of paths) {
    const { diagnostics } = await fromFile(new Parser(), path).parse();
    found.push(diagnostics.map(({ message, severity }) => ({ message, severity })));
  }
  console.log(JSON.stringify(found));
}

main(process.argv.slice(2));
