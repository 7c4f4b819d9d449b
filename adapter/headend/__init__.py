"""The head end over HTTP: one call out, one answer, refusal or honest doubt back."""
