# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The explorer as a marimo notebook: ``sharpdiv explore`` shows it, ``marimo edit`` opens it."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="sharpdiv explorer", css_file="app.css")


@app.cell
def _():
    import marimo as mo

    from sharpdiv.explore import page
    from sharpdiv.explore.models import MODELS

    return MODELS, mo, page


@app.cell
def _(MODELS, mo):
    tabs = mo.ui.radio(list(MODELS), value=next(iter(MODELS)), inline=True, label="Model")
    return (tabs,)


@app.cell
def _(MODELS, mo, tabs):
    model = MODELS[tabs.value]
    preset, choose = mo.state(model.presets[0])
    buttons = mo.ui.array(
        [mo.ui.button(label=each.title, on_click=lambda _, each=each: choose(each)) for each in model.presets]
    )
    return buttons, model, preset


@app.cell
def _(buttons, model, page, preset, tabs):
    page.head(model, preset(), tabs, buttons)
    return


@app.cell
def _(model, page, preset):
    dials = page.dials(model, preset())
    page.shown_dials(dials)
    return (dials,)


@app.cell
def _(page, preset):
    span = page.span(preset())
    return (span,)


@app.cell
def _(model, page, preset, span):
    rho = page.rho(model, preset(), span.value)
    page.shown_rho(rho, span)
    return (rho,)


@app.cell
def _(dials, model, page, preset, rho, span):
    page.results(model, preset(), dials.value, span.value, rho.value)
    return


if __name__ == "__main__":
    app.run()
