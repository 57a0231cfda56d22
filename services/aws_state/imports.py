"""All of moto that `server` uses, imported at once: what a process has imported, its forks have. Nothing here is for use."""

import moto.backends
import moto.dynamodb.urls
import moto.iam.access_control
import moto.kms.urls
import moto.moto_api._internal
import moto.moto_server.werkzeug_app
import moto.s3.models
import moto.s3.urls
import moto.server
import moto.sqs.urls  # noqa: F401
import werkzeug.serving  # noqa: F401
