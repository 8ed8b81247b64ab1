"""The dialects of the services: values in, values out. No socket, clock, disk or asyncio in this folder."""
