// The theme that was chosen, set before the first paint: a classic script in
// the head, because modules run too late for it.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('fairlead.theme');
  } catch {
    // Storage is forbidden: the system's theme holds.
  }
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();
