// Making elements. Text is always set as text, so nothing that data says can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** element("p", { class: "unit" }, "users", …) makes an HTML element; children are texts or nodes, null is left out. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function drawing(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}
