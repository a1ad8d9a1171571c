"""One function a command: settings in, result out."""
