export async function render() {
  const answer = await fetch("candidates");
  document.body.textContent = JSON.stringify(await answer.json());
}
